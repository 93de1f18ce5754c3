"""How the pages begin that are opened from disk: what they may ask for, their colours by day and by night."""

THEME = """:root {
  color-scheme: light dark;
  --paper: #f7f6f3; --surface: #fff; --ink: #1f2024; --soft: #5f626b; --line: #dedbd5; --accent: #4752cf;
  --on-accent: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141518; --surface: #1d1f24; --ink: #ececf0; --soft: #a0a4ae; --line: #343740; --accent: #98a1ff;
    --on-accent: #14151b;
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  max-width: 64rem; margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 2.5rem); background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif;
}
"""


def head(*allowed: str) -> str:
    """A page with a `$title` as far as into its style: it requests nothing but its own pictures.

    Args:
        allowed: More directives of its Content-Security-Policy.
    """
    policy = "; ".join(("default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'", *allowed))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<!-- This page requests nothing but its own pictures. -->
<meta http-equiv="Content-Security-Policy"
 content="{policy}">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
{THEME}"""
