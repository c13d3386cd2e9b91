raise ImportError("libbroken.so.1 is missing")
