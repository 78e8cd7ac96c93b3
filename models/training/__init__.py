"""Fine-tuning: recipe, loop, and the way from files to a model directory."""
