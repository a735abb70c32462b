import { JSDOM } from 'jsdom';

/** A message that a page sent. */
export interface SentRequest {
  readonly type: string;
  readonly id: number;
  readonly method: string;
  readonly value: unknown;
}

/** What the fake host answers, by method. */
export type Answers = Readonly<Record<string, (value: never) => unknown>>;

/**
 * The editor's side of a page, in jsdom: answers requests, takes the page's state, sends events. Elements of the UI toolkit
 * stay inert, which leaves their attributes and texts to look at.
 */
export class FakeHost {
  readonly window: JSDOM['window'];
  readonly requests: SentRequest[] = [];
  state: unknown;

  constructor(answers: Answers, state?: unknown) {
    const dom = new JSDOM('<!DOCTYPE html><html><body class="vscode-dark" data-view="test"></body></html>', { pretendToBeVisual: true });
    this.window = dom.window;
    this.state = state;
    const { window } = dom;
    const globals = {
      window,
      document: window.document,
      getComputedStyle: window.getComputedStyle.bind(window),
      MutationObserver: window.MutationObserver,
      HTMLElement: window.HTMLElement,
      acquireVsCodeApi: () => ({
        postMessage: (message: SentRequest) => void this.receive(message, answers),
        getState: () => this.state,
        setState: (next: unknown) => (this.state = next),
      }),
    };
    Object.assign(globalThis, globals);
    // jsdom draws nothing: a canvas without a context must not break a page.
    window.HTMLCanvasElement.prototype.getContext = () => null;
  }

  /** Sends an event to the page. */
  send(name: string, value: unknown): void {
    this.post({ type: 'event', name, value });
  }

  /** Waits until everything that was asked has been answered and drawn. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** The element with a test id. Throws if there is none. */
  find(id: string): HTMLElement {
    const found = this.window.document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
    if (!found) throw new Error(`no element '${id}' in ${this.window.document.body.innerHTML.slice(0, 500)}`);
    return found;
  }

  /** All elements that a selector finds. */
  all(selector: string): HTMLElement[] {
    return [...this.window.document.querySelectorAll<HTMLElement>(selector)];
  }

  private async receive(message: SentRequest, answers: Answers): Promise<void> {
    if (message.type !== 'request') return;
    this.requests.push(message);
    try {
      const answer = answers[message.method];
      if (!answer) throw new Error(`the page asked for an unknown '${message.method}'`);
      const value = await answer(message.value as never);
      this.post({ type: 'response', id: message.id, value });
    } catch (error) {
      this.post({ type: 'failure', id: message.id, error: { code: 'internal', message: (error as Error).message } });
    }
  }

  private post(data: unknown): void {
    this.window.dispatchEvent(new this.window.MessageEvent('message', { data }));
  }
}
