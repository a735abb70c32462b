import { modelName } from '../../common/modelName';
import type { Field } from '../../protocol/fields';
import { freeOutput } from '../models/freeOutput';
import { wholeModel } from '../models/modelFiles';
import { showError } from '../shown/notifications';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import type { Form } from './fieldEntries';
import { askField, fieldEntries, methodOfForm, valuesOfForm } from './fieldEntries';
import { choose, pickModel } from './pickers';
import { settingsHub } from './settingsHub';

/** *Start Job*: a job of any kind, by a form of its fields. Compress, learn and evaluate have their own commands with fewer questions. */
export async function startJob(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Starting a job')) return;
  const kind = await choose(
    context.engine
      .ask('kinds', {})
      .then((kinds) => kinds.map((value) => ({ label: value.label, description: value.id, detail: value.summary, value }))),
    { title: 'Start Job', placeholder: 'Choose a kind of job' },
  );
  const form: Form = { kind, title: kind.label, values: {}, parameters: {}, output: { out: '', outChosen: false } };
  const models: string[] = [];
  for (const field of kind.fields.filter(({ required }) => required === true)) {
    if (field.type.kind === 'output') continue;
    if (field.type.kind !== 'model') form.values[field.key] = await askField(context, form, field);
    else {
      const question = { title: kind.label, placeholder: field.doc };
      models.push(wholeModel(await pickModel(context.catalog, models.length === 0 ? target : undefined, question)));
      form.values[field.key] = models.at(-1);
    }
  }
  const title = `${kind.label}: ${models.map(modelName).join(' and ')}`;
  for (;;) {
    const entries = () => {
      if (!form.output.outChosen && models[0] !== undefined)
        form.output.out = freeOutput(
          models[0],
          [kind.id, methodOfForm(form)?.id].filter((word) => word !== undefined).join('-'),
          endingOf(kind.fields),
        );
      return fieldEntries(context, form);
    };
    await settingsHub({ title, next: 'show the forecast', entries });
    const { spec, problems } = await context.engine.ask('completeStep', { kind: kind.id, values: valuesOfForm(form) });
    if (!spec) {
      void showError(problems.map(({ message }) => message).join(' '));
      continue;
    }
    const job = { ...spec, ...readSettings().jobOptions };
    const confirmed = await confirmForecast(context, job, title);
    if (confirmed) {
      void context.jobs.run(confirmed, (id) => {
        if (context.history.get(id)?.description.opens === 'progress') context.jobPanels.open(id);
      });
      return;
    }
  }
}

/** The ending of the file that the kind writes; none for a folder. */
function endingOf(fields: readonly Field[]): string {
  const output = fields.find(({ type }) => type.kind === 'output')?.type;
  return output?.kind === 'output' ? (output.file ?? '') : '';
}
