"""Who may ask the inference server what: keys, tokens, certificates, and the hosts that it answers for."""
