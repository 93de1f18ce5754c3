"""The colours of the pages that are opened from disk, by day and by night."""

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
"""
