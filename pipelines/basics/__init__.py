"""What pipelines and library both stand on: checked numbers, files, processes, AutoGraph."""
