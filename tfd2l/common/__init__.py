"""Code that every part uses: errors, commands, figures, arrays, output. Imports no other part."""
