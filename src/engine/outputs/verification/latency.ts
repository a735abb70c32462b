import type { LatencyReport } from '../../../protocol/report';
import type { RuntimeTensor, Session } from '../../runtime/types';

/** Rounds in which both take their turn; the least time of each counts, because everything else a machine does only adds. */
const leastRounds = 5;
/** Most rounds, and the time, in milliseconds, after which no further round begins. */
export const timingLimits = { rounds: 15, milliseconds: 3000 } as const;
/** After this time, in milliseconds, the least number of rounds is enough: long runs vary less. */
const enough = 100;

type Feeds = Readonly<Record<string, RuntimeTensor>>;

/** Milliseconds of the fastest run of each of two sessions on the same feeds, in turns, so that both see the same machine. */
export async function compareLatency(
  before: Session,
  after: Session,
  feeds: Feeds,
): Promise<{ readonly before: number; readonly after: number }> {
  const least = { before: Infinity, after: Infinity };
  const time = async (session: Session): Promise<number> => {
    const start = performance.now();
    await session.run(feeds);
    return performance.now() - start;
  };
  const start = performance.now();
  // The first run of a session also prepares it, so it counts only where there is no time for another.
  const first = { before: await time(before), after: await time(after) };
  if (performance.now() - start > timingLimits.milliseconds) return first;
  const measured = performance.now();
  for (let round = 0; round < timingLimits.rounds; round += 1) {
    const passed = performance.now() - measured;
    if ((round >= leastRounds && passed > enough) || (round > 0 && passed > timingLimits.milliseconds)) break;
    least.before = Math.min(least.before, await time(before));
    least.after = Math.min(least.after, await time(after));
  }
  return least;
}

/** A sentence on both times, which warns if the smaller file is slower. `what` names the measured pass. */
export function latencyReport(times: { readonly before: number; readonly after: number }, batch: number, what: string): LatencyReport {
  const { before, after } = times;
  const ratio = before / after;
  const figures = `${after.toFixed(2)} ms against ${before.toFixed(2)} ms in float`;
  const summary =
    ratio >= 1.05
      ? `${what} takes ${figures}: ${ratio.toFixed(1)} times as fast.`
      : ratio > 0.95
        ? `${what} takes ${figures}: no difference.`
        : `${what} takes ${figures}: the smaller file is slower on this machine (${(1 / ratio).toFixed(1)} times the time).`;
  return { batch, beforeMilliseconds: before, afterMilliseconds: after, summary };
}
