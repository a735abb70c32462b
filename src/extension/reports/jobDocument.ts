import { assertNever } from '../../common/assertNever';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import type { JobState } from '../../protocol/jobs';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import type { CompareReport, EvaluateReport, InspectReport, JobReport, RecipeReport, TensorComparison } from '../../protocol/report';
import { jobTitle, modelName, outcomeText, outputOf } from '../jobs/jobText';
import { compressDocument, environmentFacts, numberCell } from './compressReport';
import { learnDocument } from './learnReport';
import { metricNames, metricText } from './metricText';

/** Any finished job as a readable document. */
export function jobDocument(job: JobState): ReportPageView {
  const { report } = job;
  if (!report) return withoutReport(job);
  switch (report.kind) {
    case 'compress':
      return compressDocument(report);
    case 'learn':
      return learnDocument(report);
    case 'evaluate':
      return evaluateDocument(report, job.spec.kind === 'evaluate' ? job.spec.model : '', sourceOf(job));
    case 'compare':
      return compareDocument(report);
    case 'inspect':
      return inspectDocument(report);
    case 'recipe':
      return recipeDocument(report);
    default:
      return assertNever(report);
  }
}

function evaluateDocument(report: EvaluateReport, model: string, source: string): ReportPageView {
  const counted =
    report.tokens === undefined
      ? { label: 'Samples', value: formatCount(report.samples ?? 0) }
      : { label: 'Tokens', value: formatCount(report.tokens), ...(report.windows !== undefined && { note: `${report.windows} windows` }) };
  return {
    title: modelName(model),
    subtitle: `Evaluated on ${source}`,
    figures: [
      {
        label: metricNames[report.metric],
        value: metricText(report.metric, report.value),
        note: report.metric === 'perplexity' ? 'lower is better' : 'higher is better',
      },
      { label: 'Mean loss', value: formatNumber(report.loss, 5), note: report.tokens === undefined ? 'per sample' : 'nats per token' },
      counted,
      {
        label: 'Time',
        value: formatSeconds(report.seconds),
        ...(report.tokensPerSecond !== undefined && { note: `${formatCount(Math.round(report.tokensPerSecond))} tokens/s` }),
      },
    ],
    sections: [
      { kind: 'list', heading: 'What the number depends on', items: report.choices.map(sentence) },
      {
        kind: 'facts',
        heading: 'Where it ran',
        rows: [...environmentFacts(report.environment), { label: 'Peak memory', value: formatBytes(report.peakRssBytes) }],
      },
    ],
    actions: [],
  };
}

/** A choice as the engine words it, as a sentence of a list. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const statusWords: Readonly<Record<TensorComparison['status'], string>> = {
  equal: 'equal',
  changed: 'changed',
  'only-in-first': 'only in the first',
  'only-in-second': 'only in the second',
  'shape-differs': 'shape differs',
};

function comparisonVerdict({ equal, changed, missing }: CompareReport): ReportPageView['verdict'] {
  if (equal + changed === 0) return { state: 'neutral', text: 'No tensor in common' };
  if (changed + missing === 0) return { state: 'passed', text: 'Equal' };
  return {
    state: 'neutral',
    text: changed === 0 ? 'Equal where both have a tensor' : `${formatCount(changed)} of ${formatCount(equal + changed)} changed`,
  };
}

function compareDocument(report: CompareReport): ReportPageView {
  const worst = [...report.tensors].sort((a, b) => (b.relativeError ?? -1) - (a.relativeError ?? -1));
  return {
    title: `${modelName(report.first)} and ${modelName(report.second)}`,
    subtitle: 'Compared tensor by tensor',
    verdict: comparisonVerdict(report),
    figures: [
      { label: 'Equal', value: formatCount(report.equal) },
      { label: 'Changed', value: formatCount(report.changed) },
      { label: 'Without a partner', value: formatCount(report.missing) },
      { label: 'Time', value: formatSeconds(report.seconds) },
    ],
    sections: [
      {
        kind: 'table',
        heading: worst[0]?.relativeError === undefined ? 'Tensors' : 'Tensors, largest error first',
        columns: [
          { title: 'Tensor', align: 'left' },
          { title: 'Result', align: 'left' },
          { title: 'Relative error', align: 'right' },
          { title: 'Largest error', align: 'right' },
          { title: 'Cosine', align: 'right' },
          { title: 'SQNR, dB', align: 'right' },
        ],
        rows: worst.map((tensor) => [
          { text: tensor.name },
          { text: tensor.note ?? statusWords[tensor.status] },
          numberCell(tensor.relativeError, (value) => formatNumber(value, 3)),
          numberCell(tensor.largestError, (value) => formatNumber(value, 3)),
          numberCell(tensor.cosine, (value) => value.toFixed(6)),
          numberCell(tensor.sqnr, (value) => value.toFixed(1)),
        ]),
      },
      ...((report.notes ?? []).length === 0 ? [] : [{ kind: 'list' as const, heading: 'What to know', items: report.notes ?? [] }]),
      {
        kind: 'facts',
        heading: 'Models',
        rows: [
          { label: 'First', value: report.first },
          { label: 'Second', value: report.second },
          { label: 'Peak memory', value: formatBytes(report.peakRssBytes) },
        ],
      },
    ],
    actions: [],
  };
}

function inspectDocument({ summary }: InspectReport): ReportPageView {
  return {
    title: summary.name,
    subtitle: `${summary.architecture}, ${summary.format}`,
    figures: [
      { label: 'Parameters', value: formatCount(summary.parameters) },
      { label: 'Size', value: formatBytes(summary.bytes) },
      { label: 'Tensors', value: formatCount(summary.tensors.length) },
    ],
    sections: [
      {
        kind: 'facts',
        heading: 'Metadata',
        rows: Object.entries(summary.metadata).map(([label, value]) => ({ label, value })),
      },
    ],
    actions: [],
  };
}

function recipeDocument(report: RecipeReport): ReportPageView {
  return {
    title: modelName(report.recipe),
    subtitle: `${report.steps.length} steps in ${formatSeconds(report.seconds)}`,
    verdict: { state: 'passed', text: 'Done' },
    figures: [],
    sections: report.steps.flatMap(({ name, report: step }) => {
      const document = stepDocument(step);
      return [
        {
          kind: 'facts' as const,
          heading: name,
          rows: [
            { label: 'Step', value: `${step.kind}: ${document.title}` },
            ...document.figures.map(({ label, value, note }) => ({ label, value: note === undefined ? value : `${value} (${note})` })),
            ...(document.verdict ? [{ label: 'Result', value: document.verdict.text }] : []),
          ],
        },
      ];
    }),
    actions: [{ id: 'openFile', label: 'Open Recipe' }],
  };
}

function stepDocument(report: Exclude<JobReport, RecipeReport>): ReportPageView {
  switch (report.kind) {
    case 'compress':
      return compressDocument(report);
    case 'learn':
      return learnDocument(report);
    case 'evaluate':
      return { ...evaluateDocument(report, '', ''), title: metricNames[report.metric] };
    case 'compare':
      return compareDocument(report);
    case 'inspect':
      return inspectDocument(report);
    default:
      return assertNever(report);
  }
}

function sourceOf(job: JobState): string {
  if (job.spec.kind !== 'evaluate') return 'data';
  return modelName(job.spec.text ?? job.spec.data ?? 'data');
}

function withoutReport(job: JobState): ReportPageView {
  const failed = job.status === 'failed';
  return {
    title: jobTitle(job.spec),
    subtitle: outcomeText(job),
    ...(failed && { verdict: { state: 'failed' as const, text: 'Failed' } }),
    figures: [],
    sections: [
      {
        kind: 'text',
        heading: failed ? 'Why' : 'Report',
        paragraphs: [
          job.error?.message ??
            'The report is too long for the history. Its file report.json lies in the output folder, or run the job again.',
        ],
      },
    ],
    actions: outputOf(job.spec) !== undefined && !failed ? [{ id: 'revealOutput', label: 'Reveal Output' }] : [],
  };
}
