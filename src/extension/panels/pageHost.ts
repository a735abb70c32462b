import type * as vscode from 'vscode';
import { DisposableStore } from '../../common/disposables';
import { toErrorData } from '../../protocol/errors';
import type { HostToPage, PageToHost } from '../../protocol/panels/page';
import type { PageName } from './pageHtml';
import { pageHtml, resourceRoots } from './pageHtml';

/** The extension's end of the channel to one page. */
export interface PageHostOptions<Requests> {
  readonly extensionUri: vscode.Uri;
  readonly page: PageName;
  readonly service: Requests;
  readonly log: vscode.LogOutputChannel;
}

/**
 * Fills a webview with a page and answers its requests. Events are sent only while the page is visible: a hidden page is
 * destroyed by the editor and requests a new snapshot when it is restored. Ends with the panel.
 */
export class PageHost<Requests extends object, Events> {
  private readonly store = new DisposableStore();
  private disposed = false;

  constructor(
    readonly panel: vscode.WebviewPanel,
    private readonly options: PageHostOptions<Requests>,
  ) {
    const { webview } = panel;
    this.store.add(webview.onDidReceiveMessage((message: PageToHost) => void this.receive(message)));
    panel.onDidDispose(() => {
      this.disposed = true;
      this.store.dispose();
    });
    webview.options = { enableScripts: true, localResourceRoots: resourceRoots(options.extensionUri) };
    webview.html = pageHtml(webview, options.extensionUri, options.page);
  }

  /** Keeps something until the panel is gone. */
  own<T extends vscode.Disposable>(item: T): T {
    return this.store.add(item);
  }

  /** Sends an event to the page. A hidden page receives nothing and requests the state when it is shown again. */
  send<Name extends keyof Events & string>(name: Name, value: Events[Name]): void {
    if (this.panel.visible) this.post({ type: 'event', name, value });
  }

  private async receive(message: PageToHost): Promise<void> {
    if (message.type === 'violation') {
      this.options.log.error(`content security policy violation in ${this.options.page}: ${message.detail}`);
      return;
    }
    const { id, method, value } = message;
    try {
      const handler = this.handler(method);
      this.post({ type: 'response', id, value: await handler(value) });
    } catch (error) {
      const data = toErrorData(error);
      if (data.code !== 'cancelled') this.options.log.warn(`${this.options.page}/${method}: [${data.code}] ${data.message}`);
      this.post({ type: 'failure', id, error: data });
    }
  }

  private handler(method: string): (value: unknown) => Promise<unknown> {
    const { service } = this.options;
    const handler: unknown = Object.hasOwn(service, method) ? service[method as keyof Requests] : undefined;
    if (typeof handler !== 'function') throw new Error(`the page ${this.options.page} requested an unknown method '${method}'`);
    return handler.bind(service) as (value: unknown) => Promise<unknown>;
  }

  private post(message: HostToPage): void {
    if (!this.disposed) void this.panel.webview.postMessage(message);
  }
}
