import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodePanelTab,
  vsCodePanelView,
  vsCodePanels,
  vsCodeTextField,
} from '@vscode/webview-ui-toolkit';

/** Registers the toolkit's elements that the pages use. Only the pages' entry files call it: the toolkit wants a real browser. */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(vsCodeButton(), vsCodePanelTab(), vsCodePanelView(), vsCodePanels(), vsCodeTextField());
}
