import type * as vscode from 'vscode';
import { DisposableStore } from '../../common/disposables';
import { LoomweightError, toErrorData } from '../../protocol/errors';
import type { HostToPage } from '../../protocol/panels/page';
import { pageMessage } from '../../protocol/panels/page';
import type { RequestShapes, Shape } from '../../protocol/panels/requestShapes';
import type { PageName } from './pageHtml';
import { pageHtml, resourceRoots } from './pageHtml';
import type { Log } from '../shown/log';

/** The extension's end of the channel to one page. */
export interface PageHostOptions<Requests> {
  readonly extensionUri: vscode.Uri;
  readonly page: PageName;
  readonly service: Requests;
  /** What each request must look like. */
  readonly shapes: RequestShapes<Requests>;
  readonly log: Log;
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
    this.store.add(webview.onDidReceiveMessage((message: unknown) => void this.receive(message)));
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

  private async receive(received: unknown): Promise<void> {
    const message = pageMessage(received);
    if (message === undefined) {
      this.options.log.warn(`${this.options.page}: a message of the page is not one of its protocol`);
      return;
    }
    if (message.type === 'violation') {
      this.options.log.error(`content security policy violation in ${this.options.page}: ${message.detail}`);
      return;
    }
    const { id, method, value } = message;
    try {
      this.post({ type: 'response', id, value: await this.answer(method, value) });
    } catch (error) {
      const data = toErrorData(error);
      if (data.code !== 'cancelled') this.options.log.warn(`${this.options.page}/${method}: [${data.code}] ${data.message}`);
      this.post({ type: 'failure', id, error: data });
    }
  }

  /** Answers a request whose value has the shape that the page's protocol states; anything else is refused. */
  private answer(method: string, value: unknown): Promise<unknown> {
    const { service, shapes, page } = this.options;
    const known = Object.hasOwn(service, method) && Object.hasOwn(shapes, method);
    const handler: unknown = known ? service[method as keyof Requests] : undefined;
    if (typeof handler !== 'function')
      throw new LoomweightError('invalid-argument', `The page ${page} requested an unknown method '${method}'.`);
    const shape = shapes[method as keyof Requests] as Shape<unknown>;
    if (!shape(value))
      throw new LoomweightError('invalid-argument', `The page ${page} requested '${method}' with a value of another shape.`);
    return (handler as (value: unknown) => Promise<unknown>).call(service, value);
  }

  private post(message: HostToPage): void {
    if (!this.disposed) void this.panel.webview.postMessage(message);
  }
}
