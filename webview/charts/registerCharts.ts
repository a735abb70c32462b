import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  LineController,
  LineElement,
  LinearScale,
  LogarithmicScale,
  PointElement,
  Tooltip,
} from 'chart.js';

/** Registers the parts of the chart library that bar charts need. */
export function registerBars(): void {
  Chart.register(BarController, BarElement, LineController, LineElement, PointElement, CategoryScale, LinearScale, Tooltip);
}

/** Registers the parts of the chart library that line charts need. */
export function registerCurves(): void {
  Chart.register(LineController, LineElement, PointElement, LinearScale, LogarithmicScale, Tooltip);
}
