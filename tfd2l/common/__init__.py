"""What every part stands on: errors, files, arrays, output, start-up. It knows none of them."""
