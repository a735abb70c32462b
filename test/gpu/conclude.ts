import { partNames, type CheckDocument, type PartName, type PartResult } from './document';

type Results = Readonly<Partial<Record<PartName, PartResult>>>;

/** Whether everything that could run agrees. A part that failed disagrees; one that was skipped or ran out of time does not. */
export function outcomeOf(results: Results): Pick<CheckDocument, 'outcome' | 'notes'> {
  const all = partNames.flatMap((name) => results[name] ?? []);
  const wrong = all.some(({ status }) => status === 'disagrees' || status === 'failed');
  const right = all.some(({ status }) => status === 'agrees');
  return {
    outcome: wrong ? 'disagrees' : right ? 'agrees' : 'nothing ran',
    notes: partNames.flatMap((name) => (results[name]?.note === undefined ? [] : [`${name}: ${results[name].note}`])),
  };
}

interface Rates {
  readonly stepsPerSecond?: number;
  readonly tokensPerSecond?: number;
}

/** Adds to the peer's part how many times as fast each of our measurements is, where both were taken. */
export function withRatios(results: Results): Results {
  const { peer, training, perplexity } = results;
  if (peer?.status !== 'measured') return results;
  const theirs = peer['training'] as Readonly<Record<string, Rates>> | undefined;
  const ours = training?.['methods'] as Readonly<Record<string, Rates>> | undefined;
  const ratio = (own: number | undefined, other: number | undefined): number | undefined =>
    own === undefined || other === undefined || other === 0 ? undefined : own / other;
  return {
    ...results,
    peer: {
      ...peer,
      ourSpeedOverTheirs: {
        plainTraining: ratio(ours?.['float']?.stepsPerSecond, theirs?.['float']?.stepsPerSecond),
        diffqTraining: ratio(ours?.['diffq']?.stepsPerSecond, theirs?.['diffq']?.stepsPerSecond),
        perplexity: ratio((perplexity as Rates | undefined)?.tokensPerSecond, (peer['perplexity'] as Rates | undefined)?.tokensPerSecond),
      },
    },
  };
}
