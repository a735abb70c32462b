import './report.css';
import type { ReportPageEvents, ReportPageRequests } from '../../../src/protocol/panels/reportPage';
import { registerToolkit } from '../../components/registerToolkit';
import { connectPage } from '../../host/page';
import { ReportPage } from './reportPage';

const page = connectPage<ReportPageRequests, ReportPageEvents, { readonly key?: string }>(2);
registerToolkit();
void new ReportPage(page).start();
