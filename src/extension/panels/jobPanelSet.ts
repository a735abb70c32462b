import type * as vscode from 'vscode';

/** Panels of jobs: at most one per job, found by the job's id after a reload of the window. */
export class JobPanelSet {
  private readonly panels = new Map<string, vscode.WebviewPanel>();

  /** Brings the panel of a job to the front. False if there is none. */
  reveal(id: string): boolean {
    const open = this.panels.get(id);
    open?.reveal();
    return open !== undefined;
  }

  /** Keeps a panel until it is closed. */
  add(id: string, panel: vscode.WebviewPanel): vscode.Disposable {
    this.panels.set(id, panel);
    return { dispose: () => this.panels.delete(id) };
  }
}

/** The job of a restored panel, from the page's saved state. */
export function jobOfState(state: unknown): string | undefined {
  const job = (state as { state?: { job?: unknown } } | null | undefined)?.state?.job;
  return typeof job === 'string' ? job : undefined;
}
