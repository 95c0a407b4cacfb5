// Command porcupine says of each history of one register, a line of JSON each, whether it is linearizable
// by Porcupine: a checker that is none of this project.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Kind     string
	Outcome  string
	Began    int64
	Ended    int64
	Value    *string
	Expected *string
}

// value of a register: the empty one is another than the empty text.
type value struct {
	text    string
	isThere bool
}

func valueOf(text *string) value {
	if text == nil {
		return value{}
	}
	return value{*text, true}
}

// step gives all values that the register may have after an operation; none where it cannot have happened.
func step(state, input, _ interface{}) []interface{} {
	before, one := state.(value), input.(operation)
	after := valueOf(one.Value)
	if one.Kind == "read" {
		if before == after {
			return []interface{}{before}
		}
		return nil
	}
	does := one.Expected == nil || valueOf(one.Expected) == before
	switch {
	case one.Outcome == "unknown" && does:
		return []interface{}{before, after}
	case one.Outcome == "unknown":
		return []interface{}{before}
	case does:
		return []interface{}{after}
	}
	return nil
}

func isLinearizable(history []operation) bool {
	model := porcupine.NondeterministicModel{
		Init: func() []interface{} { return []interface{}{value{}} },
		Step: step,
	}
	var operations []porcupine.Operation
	for _, one := range history {
		if one.Outcome == "refused" || (one.Outcome == "unknown" && one.Kind == "read") {
			continue
		}
		end := one.Ended
		if one.Outcome == "unknown" {
			end = math.MaxInt64
		}
		operations = append(operations, porcupine.Operation{Input: one, Call: one.Began, Return: end})
	}
	return porcupine.CheckOperations(model.ToModel(), operations)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var history []operation
		if err := json.Unmarshal(lines.Bytes(), &history); err != nil {
			log.Fatal(err)
		}
		fmt.Println(isLinearizable(history))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
