module hastack/forgetful

go 1.24

require github.com/hanwen/go-fuse/v2 v2.10.1

require golang.org/x/sys v0.28.0 // indirect
