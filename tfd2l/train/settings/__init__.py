"""The settings of a run: flags, a settings file, their types and rules. Imports nothing slow."""
