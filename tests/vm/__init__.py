"""What a real kernel does with it all: hibernations, resumes and refusals in virtual machines.

Each test starts from disks that a machine left behind, copies them, breaks something, and boots.
A machine has a hard time limit; a test that fails shows the guest's console.
"""
