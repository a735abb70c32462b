import type { Disposable } from '../../src/common/disposables';

/** The value of a theme variable such as `--vscode-foreground`, or the fallback if the theme does not define it. */
export function themeColour(variable: string, fallback: string): string {
  const value = getComputedStyle(document.body).getPropertyValue(variable).trim();
  return value === '' ? fallback : value;
}

/** Theme colours that canvases need. */
export interface ThemeColours {
  readonly foreground: string;
  readonly muted: string;
  readonly line: string;
  readonly background: string;
  readonly accent: string;
  readonly second: string;
  readonly third: string;
  readonly fourth: string;
  readonly warning: string;
  readonly dark: boolean;
  readonly highContrast: boolean;
}

/** Reads the current theme: canvases do not follow it by themselves. */
export function readTheme(): ThemeColours {
  const classes = document.body.classList;
  const highContrast = classes.contains('vscode-high-contrast') || classes.contains('vscode-high-contrast-light');
  const light = classes.contains('vscode-light') || classes.contains('vscode-high-contrast-light');
  const foreground = themeColour('--vscode-editor-foreground', light ? '#333333' : '#cccccc');
  return {
    foreground,
    muted: highContrast ? foreground : themeColour('--vscode-descriptionForeground', foreground),
    line: highContrast
      ? themeColour('--vscode-contrastBorder', foreground)
      : themeColour('--vscode-editorWidget-border', light ? '#d4d4d4' : '#454545'),
    background: themeColour('--vscode-editor-background', light ? '#ffffff' : '#1e1e1e'),
    accent: themeColour('--vscode-charts-blue', '#3794ff'),
    second: themeColour('--vscode-charts-yellow', '#cca700'),
    third: themeColour('--vscode-charts-green', '#89d185'),
    fourth: themeColour('--vscode-charts-purple', '#b180d7'),
    warning: themeColour('--vscode-charts-red', '#f14c4c'),
    dark: !light,
    highContrast,
  };
}

/** Calls `listener` when the user changes the theme. */
export function onThemeChange(listener: () => void): Disposable {
  const observer = new MutationObserver(listener);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  return { dispose: () => observer.disconnect() };
}
