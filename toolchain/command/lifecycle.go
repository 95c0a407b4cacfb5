package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Lifecycle has the commands of a resource, each for a time of its life.
type Lifecycle struct {
	Triggers *[]any  `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
}

// forUpdate is what runs when an input changed; nothing if the resource has no command for it.
func (l Lifecycle) forUpdate() *string {
	if l.Update != nil {
		return l.Update
	}
	return l.Create
}

// newID makes the identity of a resource that nothing outside Pulumi gives one.
func newID(prefix string) (string, error) {
	return resource.NewUniqueHex(prefix, 8, 0)
}
