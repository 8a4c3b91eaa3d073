"""The competitors. Each file imports what it measures and has `build(setting)`, which gives a step."""
