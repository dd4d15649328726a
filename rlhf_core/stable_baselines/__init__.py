"""How the algorithms of Stable-Baselines3 and sb3-contrib are carried out on learned rewards."""
