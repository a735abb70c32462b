import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { temporaryWriter } from '../../src/protocol/client/temporaryNames';
import type { CompressReport } from '../../src/protocol/report';
import { expectCleanConsole, expectDrawn, expectNoViolations, until } from './support/checks';
import { jobItem, ownModel, startCompression, startFromForecast, timeFromClick } from './support/jobs';
import { expectRows, fact, filterTensors, pageOfModel, selectTensor } from './support/modelPage';
import { root } from './support/paths';
import { engineProcesses } from './support/processes';
import { useSession } from './support/session';
import { fullWorkspace, writeLongText } from './support/workspaceFiles';

const output = 'loom-base-rtn-4bit-onnx-fast';

describe('compressing and evaluating', () => {
  const session = useSession({
    name: 'compress',
    files: (folder) => {
      fullWorkspace(folder);
      writeLongText(folder);
    },
  });
  const workbench = () => session().workbench;
  const engines = () => engineProcesses(session().server.pid, session().scratch.folder);
  /** Clicks Cancel in a job's notification: seen in the tree, and its process is gone within 2.5 s of the click. */
  const cancel = async (running: Locator, job: number) => {
    await running.hover();
    const times = await timeFromClick(running.getByText('Cancel', { exact: true }), {
      shown: workbench()
        .treeItem(/cancel(ling|led)/i)
        .first(),
      done: () => !engines().includes(job),
    });
    console.log(`# cancelling was seen after ${times.shown} ms, the process was gone after ${times.done} ms`);
    expect(times.done).toBeLessThan(2500);
  };
  const report = (): CompressReport => JSON.parse(readFileSync(join(session().scratch.workspace, output, 'report.json'), 'utf8'));

  test('Compress Model: method, settings, forecast, job, verified result', async () => {
    await workbench().view('Loomweight');
    await startCompression(workbench());
    await workbench().notified(/Verified\./);
    expect(report().verification.passed).toBe(true);
    expect(report().bitsPerWeight).toBeLessThanOrEqual(5.2);
    await jobItem(workbench(), 'Compress loom-base').waitFor();
    await until('the process of the job to end', engines, (pids) => pids.length <= 1);
  });

  test('the notification opens the bit allocation: charts, sizes, one bar a layer', async () => {
    await (await workbench().notified(/Verified\./)).getByText('Show Bit Allocation').click();
    await workbench().hideNotifications();
    const page = await workbench().webview('bitAllocation');
    await page.locator('[data-testid="status"]').filter({ hasText: 'Done' }).waitFor();
    await page.locator('#tab-charts').click();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
    await expectDrawn(page.locator('canvas[data-testid="error-chart"]'));
    expect(Number(await page.locator('[data-testid="layer-count"]').innerText())).toBe(report().layers.length);
    expect(Number(await page.locator('[data-testid="bits-per-weight"]').innerText())).toBeCloseTo(report().bitsPerWeight, 1);
    await expectNoViolations(page);
  });

  test('the list of layers says the same as the charts', async () => {
    const page = await workbench().webview('bitAllocation');
    await page.locator('#tab-layers').click();
    const table = page.locator('[data-testid="layer-table"]');
    await until(
      'one row a layer and one for the titles',
      () => table.getAttribute('aria-rowcount'),
      (count) => Number(count) === report().layers.length + 1,
    );
    const [layer] = report().layers;
    const row = table.locator(`.table-row[data-tensor="${layer?.name}"]`);
    expect(await row.innerText()).toContain(layer?.relativeError.toPrecision(3).replace(/0+$/, ''));
    expect(await row.locator('.width-bar').getAttribute('aria-label')).toBe(`bits: ${layer?.bits}: 100 %`);
    await page.locator('#tab-charts').click();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
  });

  test('hidden and shown again, and in another theme, the panel draws itself anew', async () => {
    await workbench().openFile('notes.txt');
    await until(
      'no webview',
      () => workbench().visibleWebviews(),
      (count) => count === 0,
    );
    await workbench()
      .tab(/loom-base/)
      .first()
      .click();
    await expectDrawn((await workbench().webview('bitAllocation')).locator('canvas[data-testid="error-chart"]'));
    await workbench().theme('Light Modern', 'vs');
    const page = await workbench().webview('bitAllocation');
    await page.locator('body.vscode-light').waitFor();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
    await workbench().theme('Dark Modern', 'vs-dark');
    await page.locator('body.vscode-dark').waitFor();
    await expectNoViolations(page);
  });

  test('the report opens from the panel and names every check of the verification', async () => {
    const panel = await workbench().webview('bitAllocation');
    await panel.locator('[data-testid="open-report"]').click();
    const page = await workbench().webview('report');
    await page.locator('[data-testid="verdict"]').waitFor();
    expect(await page.locator('.checks li').count()).toBeGreaterThanOrEqual(report().verification.checks.length);
    await expectNoViolations(page);
  });

  test('the result stands in the tree, marked with its bits, and can be looked into', async () => {
    const result = workbench().treeItem(new RegExp(output)).first();
    await until(
      'bits per weight in the tree',
      () => result.innerText(),
      (text) => /bits/.test(text),
    );
    await result.click();
    const page = await pageOfModel(workbench(), output);
    await page.locator('.table-row').first().waitFor();
    // The layer with the values that its codes, scales and zero points stand for.
    const layer = 'model.layers.0.self_attn.q_proj.weight';
    await filterTensors(page, layer);
    await expectRows(page, [layer]);
    await selectTensor(page, layer);
    expect(await fact(page, 'shape')).toContain('256 × 256');
    await filterTensors(page, '');
    await expectNoViolations(page);
  });

  test('a reload of the window keeps the job and restores its panel', async () => {
    await workbench().reload();
    await workbench().view('Loomweight');
    const job = jobItem(workbench(), /Compress loom-base/);
    await job.waitFor();
    await job.click();
    const page = await workbench().webview('bitAllocation');
    await page.locator('.width-bar').first().waitFor();
    await page.locator('#tab-charts').click();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
  });

  test('a long evaluation leaves the editor responsive, and Cancel ends its process within 2.5 s', async () => {
    const before = engines();
    await workbench().command('Loomweight: Evaluate Model');
    await workbench().pick(ownModel);
    await workbench().pick('long.txt');
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: false });
    const [job] = await until(
      'a process for the job',
      () => engines().filter((pid) => !before.includes(pid)),
      (pids) => pids.length > 0,
    );
    if (job === undefined) throw new Error('no process for the job');
    await workbench().notified(/Evaluate loom-base.*Scoring/);
    await workbench().hideNotifications();

    const palette = [];
    for (let round = 0; round < 5; round += 1) palette.push(await workbench().paletteTime());
    console.log(`# the list of commands opened in ${palette.join(', ')} ms while the job ran`);
    expect(Math.min(...palette)).toBeLessThan(1000);
    const started = Date.now();
    await workbench().openFile('notes.txt');
    await workbench()
      .page.locator('.view-line')
      .filter({ hasText: /Nothing.of.interest/ })
      .waitFor();
    console.log(`# opened a file in ${Date.now() - started} ms while the job ran`);
    await workbench().treeItem('plain.safetensors').first().click();
    await selectTensor(await pageOfModel(workbench(), 'plain.safetensors'), 'fc1.weight');
    expect(engines()).toContain(job);

    await cancel(await workbench().notified(/Evaluate loom-base.*Scoring/), job);
    await workbench()
      .treeItem(/Evaluate loom-base.*cancelled/)
      .waitFor();
  });

  test('a cancelled compression leaves nothing behind', async () => {
    const { workspace } = session().scratch;
    // Billions of weights, nearly all of them holes in a sparse file: minutes of work, so that the job cannot end before the click.
    const large = join(workspace, 'large-llama');
    execFileSync(process.execPath, [join(root, 'test/support/makeSparseLlama.mjs'), large, '12', '4096', '11008', '4096']);
    const before = readdirSync(workspace).sort();
    // The command lists the models that the tree knows.
    await workbench().treeItem('large-llama').first().waitFor();
    await startCompression(workbench(), 'large-llama');
    const running = await workbench().notified(/Compress large-llama/);
    await until(
      'an unfinished output',
      () => readdirSync(workspace).filter((name) => !before.includes(name)),
      (names) => names.some((name) => temporaryWriter(name) !== undefined),
    );
    await running.hover();
    await running.getByText('Cancel', { exact: true }).click();
    await workbench()
      .treeItem(/Compress large-llama.*cancelled/)
      .waitFor();
    await until(
      'a tidy folder',
      () => readdirSync(workspace).sort(),
      (now) => JSON.stringify(now) === JSON.stringify(before),
    );
  });

  test('an engine killed from outside: the next question is answered by a new one', async () => {
    await workbench().tab('plain.safetensors').first().click();
    for (const pid of engines()) process.kill(pid, 'SIGKILL');
    await until('the engine to be gone', engines, (pids) => pids.length === 0);
    await workbench().treeItem('plain.gguf').first().click();
    await selectTensor(await pageOfModel(workbench(), 'plain.gguf'), 'blk.0.attn_q.weight');
    expect(engines().length).toBe(1);
  });

  test('the model itself was not touched, and the output is whole', () => {
    const { workspace } = session().scratch;
    expect(statSync(join(workspace, 'loom-base/model.safetensors')).size).toBe(statSync('media/samples/loom-base/model.safetensors').size);
    for (const { path } of report().outputs) expect(existsSync(join(workspace, output, path)), path).toBe(true);
    expectCleanConsole(workbench());
  });
});
