import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { browserPath, root } from './paths';
import { endJobs } from './processes';
import { installPackage, makeScratch, remoteUri, startServer } from './server';
import type { Scratch, Server } from './server';
import { Workbench } from './workbench';

/** How a test file wants its editor. */
export interface SessionOptions {
  /** Name of the folder under test-results/ui. */
  readonly name: string;
  /** Puts files into the workspace before the start. */
  readonly files: (workspace: string) => void;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** A package to install; without it the extension runs from the source tree. */
  readonly packagePath?: string;
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly environment?: NodeJS.ProcessEnv;
}

/** A running editor. */
export interface Session {
  readonly scratch: Scratch;
  readonly server: Server;
  readonly workbench: Workbench;
}

/** Starts Chromium without anything that asks the network. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: browserPath(),
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync', '--force-color-profile=srgb', '--font-render-hinting=none'],
    ],
  });
}

/** Starts server, browser and workbench. The caller ends it with `stop`. */
export async function startSession(options: SessionOptions): Promise<Session & { stop(): Promise<void> }> {
  const scratch = makeScratch(options.name, options.settings);
  options.files(scratch.workspace);
  if (options.packagePath !== undefined) installPackage(scratch, options.packagePath);
  const development = options.packagePath === undefined;
  const [server, browser] = await Promise.all([
    startServer(scratch, { development, ...(options.environment && { environment: options.environment }) }),
    launchBrowser(),
  ]);
  const stop = async () => {
    await browser.close();
    await server.stop();
    await endJobs(scratch);
  };
  try {
    const payload = development ? ([['extensionDevelopmentPath', remoteUri(root)]] as const) : [];
    const workbench = await Workbench.open(browser, server.url(payload), options.viewport);
    return { scratch, server, workbench, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One editor for all tests of a file, with a screenshot after each test. */
export function useSession(options: SessionOptions): () => Session {
  let session: Awaited<ReturnType<typeof startSession>> | undefined;
  let shot = 0;
  beforeAll(async () => {
    session = await startSession(options);
  });
  afterEach(async ({ task }) => {
    shot += 1;
    const name = `${String(shot).padStart(2, '0')}-${task.name.replace(/\W+/g, '-')}.png`;
    if (session) await session.workbench.page.screenshot({ path: join(session.scratch.shots, name) }).catch(() => undefined);
  });
  afterAll(async () => {
    await session?.stop();
  });
  return () => {
    if (!session) throw new Error('the editor has not started');
    return session;
  };
}
