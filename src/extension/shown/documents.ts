import * as vscode from 'vscode';
import { printable, printableLines } from '../../common/shown';

/** A finding in a document. */
export function diagnostic(range: vscode.Range, text: string, severity: vscode.DiagnosticSeverity): vscode.Diagnostic {
  const made = new vscode.Diagnostic(range, printableLines(text), severity);
  made.source = 'Loomweight';
  return made;
}

/** A completion; `insertText` is what the document gets. */
export function completion(label: string, detail: string, insertText: string): vscode.CompletionItem {
  const item = new vscode.CompletionItem(printable(label), vscode.CompletionItemKind.Property);
  item.detail = printable(detail);
  item.insertText = insertText;
  return item;
}
