import './job.css';
import type { JobEvents, JobRequests } from '../../../src/protocol/panels/job';
import { registerCurves } from '../../charts/registerCharts';
import { registerToolkit } from '../../components/registerToolkit';
import { connectPage } from '../../host/page';
import type { JobPageState } from './jobPage';
import { JobPage } from './jobPage';

const page = connectPage<JobRequests, JobEvents, JobPageState>(1);
registerToolkit();
registerCurves();
void new JobPage(page).start();
