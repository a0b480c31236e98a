"""The lecture's mathematics with exact answers."""
