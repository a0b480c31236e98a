"""cardigan recipes"""

from typing import Annotated

import typer

SHORT = "List the recipes, or show one whole."


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this recipe whole.", show_default=False)
    ] = None,
) -> None:
    """List the recipes, or show one with every key that --set can change."""
    from cardigan.training.recipe import build_recipe, recipe_names, recipe_table

    if name is None:
        for each in recipe_names():
            typer.echo(f"{each:<22} {recipe_table(each)['about']}")
        return
    import tomli_w

    recipe = build_recipe(recipe_table(name))
    if recipe.game.name == "gan":
        from cardigan.objectives import OBJECTIVES

        objective = recipe.game.objective
        typer.echo(f"# {objective}: the generator minimises {OBJECTIVES[objective].divergence}")
    typer.echo(tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)), nl=False)
