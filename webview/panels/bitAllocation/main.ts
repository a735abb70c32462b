import './bitAllocation.css';
import type { BitAllocationEvents, BitAllocationRequests } from '../../../src/protocol/panels/bitAllocation';
import { registerCharts } from '../../charts/layerChart';
import { registerToolkit } from '../../components/registerToolkit';
import { connectPage } from '../../host/page';
import type { BitAllocationState } from './bitAllocationPage';
import { BitAllocationPage } from './bitAllocationPage';

const page = connectPage<BitAllocationRequests, BitAllocationEvents, BitAllocationState>(1);
registerToolkit();
registerCharts();
void new BitAllocationPage(page).start();
