import './model.css';
import type { ModelPageEvents, ModelPageRequests } from '../../../src/protocol/panels/modelPage';
import { registerToolkit } from '../../components/registerToolkit';
import { connectPage } from '../../host/page';
import type { ModelPageState } from './modelPage';
import { ModelPage } from './modelPage';

const page = connectPage<ModelPageRequests, ModelPageEvents, ModelPageState>(2);
registerToolkit();
void new ModelPage(page).start();
