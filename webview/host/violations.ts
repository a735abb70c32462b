/**
 * Counts violations of the content security policy in <html data-csp-violations>, including those before this script ran.
 * A healthy page stays at 0.
 */
export function watchViolations(report: (detail: string) => void): void {
  const root = document.documentElement;
  root.dataset['cspViolations'] = '0';
  if (typeof ReportingObserver === 'undefined') return;
  new ReportingObserver(
    (reports) => {
      for (const { body } of reports) {
        root.dataset['cspViolations'] = String(Number(root.dataset['cspViolations']) + 1);
        report(JSON.stringify(body));
      }
    },
    { types: ['csp-violation'], buffered: true },
  ).observe();
}
