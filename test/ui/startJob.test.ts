import { describe, test } from 'vitest';
import { expectCleanConsole, expectNoViolations, until } from './support/checks';
import { jobItem, ownModel, startFromForecast } from './support/jobs';
import { useSession } from './support/session';
import { fullWorkspace } from './support/workspaceFiles';

describe('a job of any kind, by a form', () => {
  const session = useSession({ name: 'startJob', files: fullWorkspace });
  const workbench = () => session().workbench;
  const rows = () => workbench().picks.allInnerTexts();
  const start = async (kind: string) => {
    await workbench().command('Loomweight: Start Job');
    await workbench().inputShows('Choose a kind of job');
    await workbench().pick(kind);
    await workbench().pick(ownModel);
  };

  test('Inspect: model, forecast, job, report', async () => {
    await workbench().view('Loomweight');
    await start('Reads names, shapes and sizes');
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: false });
    const done = await workbench().notified(/Inspect loom-base: 38 tensors/);
    await jobItem(workbench(), /Inspect loom-base.*38 tensors/).waitFor();
    await done.getByText('Open Report').click();
    await workbench().hideNotifications();
    const page = await workbench().webview('report');
    await until(
      'the report',
      () => page.locator('body').innerText(),
      (text) => /LlamaForCausalLM/.test(text) && /3,950,848/.test(text),
    );
    await expectNoViolations(page);
  });

  test('Compress: a form that lacks something says what, and has a line for each field', async () => {
    await start('Makes a model smaller');
    // The list draws only the rows in sight.
    await until('the fields', rows, (texts) =>
      ['Model', 'Method', 'Budget', 'Unit'].every((label) => texts.some((text) => text.startsWith(label))),
    );
    await workbench().pick('Continue');
    await workbench().notified(/Set Method or Budget/);
    await workbench().hideNotifications();
    await workbench().pick('Compression method');
    await workbench().pick('Round to nearest');
    await workbench().search('Bits per stored weight');
    await workbench().pick('Bits per stored weight');
    await workbench().answer('3');
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: true });
    await workbench().notified(/Compress loom-base: .*Verified\./);
    await jobItem(workbench(), /Compress loom-base.*bits/).waitFor();
    expectCleanConsole(workbench());
  });
});
