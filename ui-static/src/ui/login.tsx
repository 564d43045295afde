import { useState } from 'preact/hooks';
import { session } from '../app.ts';
import { Command, Logo } from './parts.tsx';

export function Login() {
  const [text, setText] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try { await session.login(text); } catch (e) { setError(e instanceof Error ? e.message : String(e)); }
    setBusy(false);
  };
  return <main class="login">
    <form onSubmit={submit} class="card" aria-labelledby="login-title">
      <div class="brand"><Logo/> skerry</div>
      <h1 id="login-title">Log in</h1>
      {session.notice.value ? <p class="note" role="status">{session.notice.value}</p> : null}
      <label for="token">Token, or a kubeconfig that holds one</label>
      <textarea id="token" rows={4} spellcheck={false} autocomplete="off" autocapitalize="off" value={text} aria-describedby={error ? 'login-error' : undefined} aria-invalid={error !== ''}
        onInput={e => setText(e.currentTarget.value)} onKeyDown={e => { if (e.key === 'Enter' && !e.shiftKey) void submit(e); }}/>
      {error ? <p class="error" id="login-error" role="alert">{error}</p> : null}
      <button class="btn primary" type="submit" disabled={busy}>{busy ? 'Logging in…' : 'Log in'}</button>
    </form>
    <section class="ways" aria-labelledby="ways-title">
      <h2 id="ways-title">Where do I get one?</h2>
      <p>On the machine that runs skerry. This prints a link that logs you in:</p>
      <Command text="sudo skerry console"/>
      <p>Or a token to paste here, valid for 12 hours:</p>
      <Command text="sudo skerry token"/>
      <p>For somebody else, a token of a service account sees what its roles allow:</p>
      <Command text="kubectl create token NAME -n NAMESPACE"/>
    </section>
  </main>;
}
