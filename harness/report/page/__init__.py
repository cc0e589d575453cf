"""The sections of the HTML page, one module per question they answer."""
