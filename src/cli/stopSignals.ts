/** What Ctrl-C, a closed terminal and `kill` send. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What is done when the user asks to stop. */
export interface StopHandlers {
  /** The first time, just before the action's signal is aborted. */
  readonly onFirst?: () => void;
  /** Every further time: no more patience. */
  readonly onAgain: () => void;
}

/** Runs an action whose signal is aborted by Ctrl-C and its like, in place of Node's sudden end. */
export async function withStopSignals<T>(action: (signal: AbortSignal) => Promise<T>, handlers: StopHandlers): Promise<T> {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) {
      handlers.onAgain();
      return;
    }
    handlers.onFirst?.();
    controller.abort();
  };
  for (const signal of stopSignals) process.on(signal, onSignal);
  try {
    return await action(controller.signal);
  } finally {
    for (const signal of stopSignals) process.removeListener(signal, onSignal);
  }
}
