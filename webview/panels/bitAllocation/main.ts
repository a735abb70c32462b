import './bitAllocation.css';
import type { BitAllocationEvents, BitAllocationRequests } from '../../../src/protocol/panels/bitAllocation';
import { registerBars, registerCurves } from '../../charts/registerCharts';
import { registerToolkit } from '../../components/registerToolkit';
import { connectPage } from '../../host/page';
import type { BitAllocationState } from './bitAllocationPage';
import { BitAllocationPage } from './bitAllocationPage';

const page = connectPage<BitAllocationRequests, BitAllocationEvents, BitAllocationState>(2);
registerToolkit();
registerBars();
registerCurves();
void new BitAllocationPage(page).start();
