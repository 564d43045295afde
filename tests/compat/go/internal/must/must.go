// Package must ends a program loudly at the first thing that is not as it should be.
package must

import (
	"fmt"
	"os"
	"time"
)

const patience = 60 * time.Second

// Do wants no error.
func Do(err error, what string) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

// Be wants a condition to hold.
func Be(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

// Become waits a minute for a condition.
func Become(what string, condition func() bool) {
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		Be(time.Now().Before(end), "not in time: %s", what)
	}
}

// Restart asks the test around this program for a restart of the server and waits until it is ready again. How: "restart" or "kill".
func Restart(file, how string) {
	if err := os.Remove(file + ".done"); err != nil && !os.IsNotExist(err) {
		panic(err)
	}
	Do(os.WriteFile(file, []byte(how+"\n"), 0o600), "ask for a restart")
	Become("the restart", func() bool {
		_, err := os.Stat(file + ".done")
		return err == nil
	})
}
