import { render } from 'preact';
import './styles.css';
import { session } from './app.ts';
import { takeCode } from './data/session.ts';
import { App } from './ui/shell.tsx';

void session.start(takeCode(location, url => history.replaceState(null, '', url)));
render(<App/>, document.getElementById('root')!);
