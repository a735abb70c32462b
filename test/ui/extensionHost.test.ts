import { build } from 'esbuild';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { until } from './support/checks';
import type { HostTestResult } from './host/result';
import { root } from './support/paths';
import { launchBrowser } from './support/session';
import { makeScratch, remoteUri, startServer } from './support/server';
import { fullWorkspace } from './support/workspaceFiles';

/** Runs test/ui/host/index.ts inside an extension host; a browser must be open on the workbench as long as it runs. */
async function runInExtensionHost(): Promise<readonly HostTestResult[]> {
  const scratch = makeScratch('host');
  fullWorkspace(scratch.workspace);
  const bundle = join(scratch.folder, 'tests');
  await build({
    entryPoints: [join(root, 'test/ui/host/index.ts')],
    outfile: `${bundle}.js`,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['vscode'],
    logLevel: 'error',
  });
  const result = join(scratch.folder, 'result.json');
  const [server, browser] = await Promise.all([
    startServer(scratch, { development: true, environment: { HOST_TEST_RESULT: result } }),
    launchBrowser(),
  ]);
  try {
    const page = await (await browser.newContext()).newPage();
    await page.goto(
      server.url([
        ['extensionDevelopmentPath', remoteUri(root)],
        ['extensionTestsPath', remoteUri(bundle)],
      ]),
      { waitUntil: 'commit' },
    );
    await until(
      'results from the extension host',
      () => existsSync(result),
      (there) => there,
      150_000,
    );
    return JSON.parse(readFileSync(result, 'utf8')) as HostTestResult[];
  } finally {
    await browser.close();
    await server.stop();
  }
}

describe('inside the extension host', () => {
  let results: readonly HostTestResult[] = [];
  beforeAll(async () => {
    results = await runInExtensionHost();
  });

  // One line for each test of test/ui/host/index.ts; the last test notices a name that is missing here.
  const names = [
    'the commands that are registered are those of the manifest',
    'hover in YAML, JSON and Python: shape, type, extremes, mean, zeros, histogram',
    'no hover over other words',
    'lenses on a recipe',
    'a sound recipe has no findings',
    'safetensors, GGUF and ONNX open in our editors',
  ];
  for (const name of names) {
    test(name, () => {
      const result = results.find((each) => each.name === name);
      expect(result).toBeDefined();
      expect(result?.problem ?? '').toBe('');
    });
  }
  test('every test in there has a line here', () => {
    expect(results.map(({ name }) => name)).toEqual(names);
  });
});
