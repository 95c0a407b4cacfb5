// Command forgetful mounts a directory as a disk that loses, on SIGUSR1, all that was written and not synced, and ends.
// Names are kept at once, as a file system with a journal soon does; what is in a file, and its size, once that file
// was synced.
package main

import (
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: forgetful DIRECTORY MOUNTPOINT")
	}
	directory, mountpoint := os.Args[1], os.Args[2]
	unsynced := newUnsynced()
	root, err := newRoot(directory, unsynced)
	if err != nil {
		log.Fatal(err)
	}
	mounted := fuse.MountOptions{AllowOther: true, DirectMountStrict: true, FsName: "forgetful", Options: []string{"default_permissions"}}
	if _, err := fs.Mount(mountpoint, root, &fs.Options{MountOptions: mounted}); err != nil {
		log.Fatal(err)
	}
	lost := make(chan os.Signal, 1)
	signal.Notify(lost, syscall.SIGUSR1)
	<-lost
	if err := unsynced.lose(); err != nil {
		log.Fatal(err)
	}
}
