"""python -m cardigan"""

from cardigan.cli import main

main()
