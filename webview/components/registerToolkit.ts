import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodePanelTab,
  vsCodePanelView,
  vsCodePanels,
  vsCodeTextField,
} from '@vscode/webview-ui-toolkit';

/** Registers the toolkit elements that the pages use. Only the pages' entry files call it, because the toolkit requires a real browser. */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(vsCodeButton(), vsCodePanelTab(), vsCodePanelView(), vsCodePanels(), vsCodeTextField());
}
