import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** Views with a page: each is one bundled script and one style sheet of its name in dist/webview. */
export type PageName = 'model' | 'bitAllocation' | 'job' | 'report';

/** The policy of every page: nothing but our own files, and scripts and styles only with the nonce or from them. */
export function contentSecurityPolicy(nonce: string, source: string): string {
  return [
    `default-src 'none'`,
    `script-src 'nonce-${nonce}' ${source}`,
    // The toolkit's feature test adds one <style>, with the nonce of <meta property="csp-nonce">.
    `style-src 'nonce-${nonce}' ${source}`,
    `font-src ${source}`,
    `img-src ${source} data:`,
  ].join('; ');
}

/** Folders that pages may load from. */
export function resourceRoots(extensionUri: vscode.Uri): vscode.Uri[] {
  return [vscode.Uri.joinPath(extensionUri, 'dist', 'webview')];
}

/** The one page frame. Content is sent as messages after the page is ready, never inside the page. */
export function pageHtml(webview: vscode.Webview, extensionUri: vscode.Uri, page: PageName): string {
  const nonce = randomBytes(16).toString('base64');
  const asset = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, 'dist', 'webview', name)).toString();
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy(nonce, webview.cspSource)}">
<meta property="csp-nonce" content="${nonce}">
<link rel="stylesheet" href="${asset(`${page}.css`)}">
</head>
<body data-view="${page}">
<script nonce="${nonce}" src="${asset(`${page}.js`)}"></script>
</body>
</html>`;
}
