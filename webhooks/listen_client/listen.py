SERVER = ""
