"""Whose key opens a sealed image: the keys of this machine, and the ways to them at a boot.

The machine that hibernates has `slots`, its keys, and `sender`, who signs and seals by them;
`pending` is the note of an image that may be out, `spending` ends one that is thrown away, `doubts`
says how an image is lost or forged for all that. A boot has `opening`, which goes through the
`recipients` in an image, and `ask`, which has somebody type. `tpm` is what both have of a TPM, by
the programs in `tpm_tools`; `age` wraps the key of an image for a public key; `identity` is a
private key in a file, for who hibernates nothing.

The bytes of a seal are format's, whether sealing is on is state's.
"""
