import { applyAttributes } from './dom';

/** A button of the UI toolkit. It does nothing until the toolkit is registered, which tests rely on. `quiet` is for secondary actions. */
export function button(options: {
  readonly label: string;
  readonly id: string;
  readonly quiet?: boolean;
  readonly title?: string;
  readonly onClick: () => void;
}): HTMLElement {
  const made = document.createElement('vscode-button');
  applyAttributes(made, {
    text: options.label,
    'data-testid': options.id,
    appearance: options.quiet === true ? 'secondary' : 'primary',
    title: options.title,
    'aria-label': options.title,
  });
  made.addEventListener('click', options.onClick);
  return made;
}

/** A single-line text field; `onInput` receives its content. */
export function textField(options: {
  readonly id: string;
  readonly label: string;
  readonly placeholder: string;
  readonly onInput: (text: string) => void;
}): HTMLElement & { value: string } {
  const made = document.createElement('vscode-text-field') as HTMLElement & { value: string };
  applyAttributes(made, { 'data-testid': options.id, placeholder: options.placeholder, 'aria-label': options.label });
  made.addEventListener('input', () => options.onInput(made.value));
  return made;
}

/** One tab and its content. */
export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly content: HTMLElement;
}

/** A set of tabs. `onChange` receives the id of the tab that the user chose. */
export function tabs(options: {
  readonly label: string;
  readonly sheets: readonly Tab[];
  readonly active: string;
  readonly onChange: (id: string) => void;
}): HTMLElement {
  const made = document.createElement('vscode-panels') as HTMLElement & { activeid?: string };
  applyAttributes(made, { 'aria-label': options.label, activeid: `tab-${options.active}` });
  for (const sheet of options.sheets) {
    const tab = document.createElement('vscode-panel-tab');
    applyAttributes(tab, { id: `tab-${sheet.id}`, text: sheet.label });
    made.append(tab);
  }
  for (const sheet of options.sheets) {
    const view = document.createElement('vscode-panel-view');
    applyAttributes(view, { id: `view-${sheet.id}` });
    view.append(sheet.content);
    made.append(view);
  }
  made.addEventListener('change', () => options.onChange((made.activeid ?? '').replace(/^tab-/, '')));
  return made;
}
