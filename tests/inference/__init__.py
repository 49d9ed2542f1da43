"""What effects and intervals promise."""
