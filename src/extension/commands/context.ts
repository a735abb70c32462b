import type { ModelEditors } from '../editors/modelEditors';
import type { EngineHost } from '../engineHost/engineHost';
import type { JobHistory } from '../jobs/jobHistory';
import type { JobRunner } from '../jobs/jobRunner';
import type { Messages } from '../messages';
import type { ModelCatalog } from '../models/modelCatalog';
import type { BitAllocationPanels } from '../panels/bitAllocationPanels';
import type { JobPanels } from '../panels/jobPanels';
import type { ReportPanels } from '../panels/reportPanels';
import type { TerminalCommand } from '../terminal/terminalCommand';
import type { Log } from '../shown/log';

/** What commands work with. */
export interface CommandContext {
  readonly engine: EngineHost;
  readonly catalog: ModelCatalog;
  readonly history: JobHistory;
  readonly jobs: JobRunner;
  readonly messages: Messages;
  readonly terminal: TerminalCommand;
  readonly editors: ModelEditors;
  readonly bitAllocation: BitAllocationPanels;
  readonly jobPanels: JobPanels;
  readonly reports: ReportPanels;
  readonly log: Log;
  /** What was set in a flow that the user left, for the next time: by command and subject, as long as the window lives. */
  readonly drafts: Map<string, unknown>;
  /** Folder of the bundled samples. */
  readonly samples: string;
}
