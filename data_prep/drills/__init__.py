"""The simulated skill world: performers, drills with named faults, twins, noise.

Use `data_prep.drills.simulate.simulate_many` and `data_prep.drills.noise.add_pose_noise`.
"""
